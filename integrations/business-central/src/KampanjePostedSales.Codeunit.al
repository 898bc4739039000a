/// Reports posted lines to /v1/sales/batch. Run it as a recurring job queue entry.
codeunit 50105 "Kampanje Posted Sales"
{
    trigger OnRun()
    begin
        SendAll();
    end;

    var
        Client: Codeunit "Kampanje Client";

    /// Part of the posting's transaction, so a document is never lost or reported in vain.
    [EventSubscriber(ObjectType::Codeunit, Codeunit::"Sales-Post", 'OnAfterPostSalesDoc', '', false, false)]
    local procedure AfterPost(var SalesHeader: Record "Sales Header"; SalesInvHdrNo: Code[20]; SalesCrMemoHdrNo: Code[20]; PreviewMode: Boolean)
    begin
        if PreviewMode then
            exit;
        if SalesInvHdrNo <> '' then
            Add(SalesInvHdrNo, false);
        if SalesCrMemoHdrNo <> '' then
            Add(SalesCrMemoHdrNo, true);
    end;

    local procedure Add(DocumentNo: Code[20]; CreditMemo: Boolean)
    var
        Outbox: Record "Kampanje Outbox";
    begin
        Outbox.Init();
        Outbox."Document No." := DocumentNo;
        Outbox."Credit Memo" := CreditMemo;
        Outbox.Insert(true);
    end;

    local procedure SendAll()
    var
        Outbox: Record "Kampanje Outbox";
        Setup: Record "Kampanje Setup";
        Problem: Text;
    begin
        if not Outbox.FindSet() then
            exit;
        repeat
            if SendDocument(Outbox, Problem) then
                Outbox.Delete()
            else begin
                Outbox."Error Text" := CopyStr(Problem, 1, MaxStrLen(Outbox."Error Text"));
                Outbox.Modify();
                if Setup.Get() then begin
                    Setup."Failure Text" := CopyStr(Problem, 1, MaxStrLen(Setup."Failure Text"));
                    Setup.Modify();
                end;
            end;
            // Sending a document again is harmless: its rows have business keys.
            Commit();
        until Outbox.Next() = 0;
    end;

    local procedure SendDocument(Outbox: Record "Kampanje Outbox"; var Problem: Text): Boolean
    var
        Body: JsonObject;
        Answer: JsonObject;
        Rows: JsonArray;
    begin
        if Outbox."Credit Memo" then
            AddCreditMemo(Outbox."Document No.", Rows)
        else
            AddInvoice(Outbox."Document No.", Rows);
        if Rows.Count() = 0 then
            exit(true);
        Body.Add('rows', Rows);
        exit(Client.TryPost('/v1/sales/batch', Body, Answer, Problem));
    end;

    local procedure AddInvoice(DocumentNo: Code[20]; var Rows: JsonArray)
    var
        Header: Record "Sales Invoice Header";
        Line: Record "Sales Invoice Line";
        Row: JsonObject;
    begin
        if not Header.Get(DocumentNo) then
            exit;
        Line.SetRange("Document No.", DocumentNo);
        Line.SetRange(Type, Line.Type::Item);
        Line.SetFilter(Quantity, '>0');
        if Line.FindSet() then
            repeat
                Clear(Row);
                AddDocument(Row, 'INVOICE', DocumentNo, Line."Line No.", Header."Posting Date", Header."Bill-to Customer No.", Header."Currency Code");
                AddLine(
                    Row, Line."No.", Line."Variant Code", Line."Unit of Measure Code", Line.Quantity,
                    Local(Line.Amount, Header."Currency Factor"), Local(Line."Line Discount Amount", Header."Currency Factor"));
                AddOffer(Row, Line."Kampanje Version", Line."Kampanje Price Line Id", Line."Kampanje Discount Line Id");
                Rows.Add(Row);
            until Line.Next() = 0;
    end;

    local procedure AddCreditMemo(DocumentNo: Code[20]; var Rows: JsonArray)
    var
        Header: Record "Sales Cr.Memo Header";
        Line: Record "Sales Cr.Memo Line";
        Row: JsonObject;
    begin
        if not Header.Get(DocumentNo) then
            exit;
        Line.SetRange("Document No.", DocumentNo);
        Line.SetRange(Type, Line.Type::Item);
        Line.SetFilter(Quantity, '>0');
        if Line.FindSet() then
            repeat
                Clear(Row);
                AddDocument(Row, 'CREDIT_MEMO', DocumentNo, Line."Line No.", Header."Posting Date", Header."Bill-to Customer No.", Header."Currency Code");
                AddLine(
                    Row, Line."No.", Line."Variant Code", Line."Unit of Measure Code", Line.Quantity,
                    Local(Line.Amount, Header."Currency Factor"), Local(Line."Line Discount Amount", Header."Currency Factor"));
                AddOffer(Row, Line."Kampanje Version", Line."Kampanje Price Line Id", Line."Kampanje Discount Line Id");
                Rows.Add(Row);
            until Line.Next() = 0;
    end;

    local procedure AddDocument(var Row: JsonObject; DocumentType: Text; DocumentNo: Code[20]; LineNo: Integer; PostingDate: Date; CustomerNo: Code[20]; CurrencyCode: Code[10])
    begin
        Row.Add('documentType', DocumentType);
        Row.Add('documentNumber', DocumentNo);
        Row.Add('lineNumber', LineNo);
        Row.Add('postingDate', Format(PostingDate, 0, 9));
        Row.Add('customerNumber', CustomerNo);
        if CurrencyCode <> '' then
            Row.Add('currencyCode', CurrencyCode);
    end;

    local procedure AddLine(var Row: JsonObject; ItemNo: Code[20]; VariantCode: Code[10]; UnitCode: Code[10]; Quantity: Decimal; Amount: Decimal; DiscountAmount: Decimal)
    begin
        Row.Add('itemNumber', ItemNo);
        if VariantCode <> '' then
            Row.Add('variantCode', VariantCode);
        if UnitCode <> '' then
            Row.Add('unitOfMeasureCode', UnitCode);
        Row.Add('quantity', Client.ToText(Quantity));
        Row.Add('lineAmount', Client.ToText(Amount));
        Row.Add('discountAmount', Client.ToText(DiscountAmount));
    end;

    local procedure AddOffer(var Row: JsonObject; Version: BigInteger; PriceLineId: Guid; DiscountLineId: Guid)
    begin
        if Version = 0 then
            exit;
        Row.Add('publicationVersion', Version);
        if not IsNullGuid(PriceLineId) then
            Row.Add('priceLineId', IdText(PriceLineId));
        if not IsNullGuid(DiscountLineId) then
            Row.Add('discountLineId', IdText(DiscountLineId));
    end;

    local procedure IdText(Id: Guid): Text
    begin
        // Without braces.
        exit(LowerCase(Format(Id, 0, 4)));
    end;

    /// Amounts of the service are in local currency. The factor is foreign per local unit.
    local procedure Local(Amount: Decimal; CurrencyFactor: Decimal): Decimal
    begin
        if CurrencyFactor = 0 then
            exit(Amount);
        exit(Round(Amount / CurrencyFactor));
    end;
}
