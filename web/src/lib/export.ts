/** Tables as files: CSV and XLSX. */
import { strToU8, zipSync } from 'fflate';
import { isDecimal } from './decimal.ts';

export type FileKind = 'csv' | 'xlsx';
type Rows = string[][];

/** A text that spreadsheets would calculate is marked as a text. */
function neutral(text: string): string {
  return /^[=+@\t\r]/.test(text) || (text.startsWith('-') && !isDecimal(text)) ? `'${text}` : text;
}

export function toCsv(rows: Rows): string {
  const cell = (text: string) => {
    const safe = neutral(text);
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

const XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
const MAIN = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
const PACKAGE = 'http://schemas.openxmlformats.org/package/2006';
const TYPE = 'application/vnd.openxmlformats-officedocument.spreadsheetml';

function xml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')

    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, '');
}

/** Digits that a spreadsheet keeps exactly; longer numbers become texts. */
const EXACT_DIGITS = 15;

export function toXlsx(rows: Rows): Uint8Array {
  const cell = (text: string) =>
    isDecimal(text) && text.replace(/\D/g, '').length <= EXACT_DIGITS
      ? `<c><v>${text}</v></c>`
      : `<c t="inlineStr"><is><t xml:space="preserve">${xml(text)}</t></is></c>`;
  const data = rows.map((row) => `<row>${row.map(cell).join('')}</row>`).join('');
  const files: Record<string, string> = {
    '[Content_Types].xml':
      `<Types xmlns="${PACKAGE}/content-types">` +
      `<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>` +
      `<Override PartName="/xl/workbook.xml" ContentType="${TYPE}.sheet.main+xml"/>` +
      `<Override PartName="/xl/worksheets/sheet1.xml" ContentType="${TYPE}.worksheet+xml"/></Types>`,
    '_rels/.rels':
      `<Relationships xmlns="${PACKAGE}/relationships">` +
      `<Relationship Id="rId1" Type="${OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
    'xl/workbook.xml':
      `<workbook xmlns="${MAIN}" xmlns:r="${OFFICE}"><sheets>` +
      `<sheet name="Kampanje" sheetId="1" r:id="rId1"/></sheets></workbook>`,
    'xl/_rels/workbook.xml.rels':
      `<Relationships xmlns="${PACKAGE}/relationships">` +
      `<Relationship Id="rId1" Type="${OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`,
    'xl/worksheets/sheet1.xml': `<worksheet xmlns="${MAIN}"><sheetData>${data}</sheetData></worksheet>`,
  };
  const entries = Object.entries(files).map(([name, text]) => [name, strToU8(XML + text)] as const);
  return zipSync(Object.fromEntries(entries));
}

/** Hands a file to the browser. */
export function download(name: string, kind: FileKind, rows: Rows): void {
  const content =
    kind === 'csv' ? `\ufeff${toCsv(rows)}` : (toXlsx(rows) as Uint8Array<ArrayBuffer>);
  const type = kind === 'csv' ? 'text/csv;charset=utf-8' : `${TYPE}.sheet`;
  saveFile(`${name}.${kind}`, new Blob([content], { type }));
}

/** Hands a file with a name to the browser. */
export function saveFile(name: string, content: Blob): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser reads the file after the click.
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
