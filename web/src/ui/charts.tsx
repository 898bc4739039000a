import { useState, type ReactNode } from 'react';
import { t } from '../lib/i18n.ts';

/** A chart with its values as a table. */
export function Chart(props: {
  label: string;
  children: ReactNode;
  heads: string[];
  rows: ReactNode[][];
}) {
  const [asTable, setAsTable] = useState(false);
  return (
    <figure className="chart">
      {asTable ? (
        <div className="table-wrap" tabIndex={0} role="region" aria-label={props.label}>
          <table className="table">
            <thead>
              <tr>
                {props.heads.map((head, index) => (
                  <th key={head} scope="col" className={index > 0 ? 'right' : undefined}>
                    {head}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {props.rows.map((row, index) => (
                <tr key={index}>
                  {row.map((cell, column) => (
                    <td key={column} className={column > 0 ? 'right' : undefined}>
                      {cell}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        props.children
      )}
      <figcaption>
        <button type="button" className="link-button" onClick={() => setAsTable(!asTable)}>
          {asTable ? t('chart.asChart') : t('chart.asTable')}
        </button>
      </figcaption>
    </figure>
  );
}

export interface Bar {
  label: string;
  value: number;
  shown: string;
  tone?: 'good' | 'bad' | 'plain';
}

/** Horizontal bars with their values. */
export function Bars({
  label,
  bars,
  heads,
}: {
  label: string;
  bars: Bar[];
  heads: [string, string];
}) {
  const most = Math.max(...bars.map(({ value }) => Math.abs(value)), 1e-9);
  return (
    <Chart label={label} heads={heads} rows={bars.map(({ label: name, shown }) => [name, shown])}>
      <ul className="bars" aria-label={label}>
        {bars.map((bar) => (
          <li key={bar.label}>
            <span className="bar-label">{bar.label}</span>
            <span className="bar-track">
              <span
                className={`bar bar-${bar.tone ?? 'good'}`}
                style={{ width: `${String((Math.abs(bar.value) / most) * 100)}%` }}
              />
            </span>
            <span className="bar-value">{bar.shown}</span>
          </li>
        ))}
      </ul>
    </Chart>
  );
}
