/// Replaces the price that Business Central found by that of the service.
codeunit 50103 "Kampanje Pricing"
{
    Access = Internal;

    var
        Client: Codeunit "Kampanje Client";

    /// Raised after standard pricing and before Validate("Unit Price"). Without an
    /// answer the line keeps the price of Business Central.
    [EventSubscriber(ObjectType::Table, Database::"Sales Line", 'OnUpdateUnitPriceByFieldOnAfterFindPrice', '', false, false)]
    local procedure PriceLine(SalesHeader: Record "Sales Header"; var SalesLine: Record "Sales Line"; CalledByFieldNo: Integer; CallingFieldNo: Integer)
    var
        Request: JsonObject;
        Answer: JsonObject;
        Lines: JsonArray;
        Token: JsonToken;
    begin
        ClearAnswer(SalesLine);
        if (SalesLine.Type <> SalesLine.Type::Item) or (SalesLine."No." = '') then
            exit;
        // A credit memo keeps the price of the document that it was copied from.
        if SalesLine."Copied From Posted Doc." and SalesLine.IsCreditDocType() then
            exit;
        Lines.Add(LineRequest(SalesLine));
        Request.Add('customerNumber', SalesHeader."Bill-to Customer No.");
        Request.Add('onUnknownContact', 'EVERYBODY');
        Request.Add('date', Format(PricingDate(SalesHeader), 0, 9));
        Request.Add('pricesIncludeTax', SalesHeader."Prices Including VAT");
        if SalesHeader."Currency Code" <> '' then
            Request.Add('currencyCode', SalesHeader."Currency Code");
        if SalesHeader."Campaign No." <> '' then
            Request.Add('campaignNumber', SalesHeader."Campaign No.");
        Request.Add('lines', Lines);
        if not Client.TryQuote(Request, Answer) then
            exit;
        if Answer.SelectToken('$.lines[0]', Token) then
            TakeOver(SalesLine, Answer, Token.AsObject());
    end;

    local procedure LineRequest(SalesLine: Record "Sales Line") Line: JsonObject
    begin
        Line.Add('itemNumber', SalesLine."No.");
        if SalesLine."Variant Code" <> '' then
            Line.Add('variantCode', SalesLine."Variant Code");
        if SalesLine."Unit of Measure Code" <> '' then
            Line.Add('unitOfMeasureCode', SalesLine."Unit of Measure Code");
        if SalesLine.Quantity <> 0 then
            Line.Add('quantity', Client.ToText(Abs(SalesLine.Quantity)));
        Line.Add('taxPercent', Client.ToText(SalesLine."VAT %"));
    end;

    local procedure PricingDate(SalesHeader: Record "Sales Header"): Date
    begin
        if SalesHeader."Document Type" in [SalesHeader."Document Type"::Invoice, SalesHeader."Document Type"::"Credit Memo"] then
            exit(SalesHeader."Posting Date");
        exit(SalesHeader."Order Date");
    end;

    local procedure TakeOver(var SalesLine: Record "Sales Line"; Answer: JsonObject; Line: JsonObject)
    var
        Token: JsonToken;
    begin
        // An unknown item, for example. Business Central's price stays.
        if Line.Contains('problem') then
            exit;
        Line.Get('unitPrice', Token);
        SalesLine."Unit Price" := Client.ToDecimal(Token);
        Line.Get('lineDiscountPercent', Token);
        SalesLine."Line Discount %" := Client.ToDecimal(Token);
        Answer.Get('publicationVersion', Token);
        SalesLine."Kampanje Version" := Token.AsValue().AsBigInteger();
        Answer.Get('bookId', Token);
        Evaluate(SalesLine."Kampanje Book Id", Token.AsValue().AsText());
        SalesLine."Kampanje Price Line Id" := LineId(Line, 'priceLine');
        SalesLine."Kampanje Discount Line Id" := LineId(Line, 'discountLine');
        SalesLine."Kampanje Offer" := CopyStr(Offer(Line), 1, MaxStrLen(SalesLine."Kampanje Offer"));
    end;

    local procedure LineId(Line: JsonObject; Name: Text) Id: Guid
    var
        Token: JsonToken;
    begin
        if not Line.Get(Name, Token) then
            exit;
        if not Token.IsObject() then
            exit;
        if Token.AsObject().Get('id', Token) then
            Evaluate(Id, Token.AsValue().AsText());
    end;

    local procedure Offer(Line: JsonObject): Text
    var
        Token: JsonToken;
        Kind: Text;
    begin
        if not Line.SelectToken('$.source.type', Token) then
            exit('');
        Kind := Token.AsValue().AsText();
        if Line.SelectToken('$.source.campaignNumber', Token) then
            if not Token.AsValue().IsNull() then
                exit(Kind + ' ' + Token.AsValue().AsText());
        exit(Kind);
    end;

    local procedure ClearAnswer(var SalesLine: Record "Sales Line")
    begin
        Clear(SalesLine."Kampanje Version");
        Clear(SalesLine."Kampanje Book Id");
        Clear(SalesLine."Kampanje Price Line Id");
        Clear(SalesLine."Kampanje Discount Line Id");
        Clear(SalesLine."Kampanje Offer");
    end;
}
