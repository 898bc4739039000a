/// Forgets the answer when somebody changes the price by hand.
codeunit 50104 "Kampanje Manual Price"
{
    Access = Internal;

    [EventSubscriber(ObjectType::Table, Database::"Sales Line", 'OnAfterValidateEvent', 'Unit Price', false, false)]
    local procedure UnitPriceChanged(var Rec: Record "Sales Line"; var xRec: Record "Sales Line"; CurrFieldNo: Integer)
    begin
        if (CurrFieldNo = Rec.FieldNo("Unit Price")) and (Rec."Unit Price" <> xRec."Unit Price") then
            Forget(Rec);
    end;

    [EventSubscriber(ObjectType::Table, Database::"Sales Line", 'OnAfterValidateEvent', 'Line Discount %', false, false)]
    local procedure DiscountChanged(var Rec: Record "Sales Line"; var xRec: Record "Sales Line"; CurrFieldNo: Integer)
    begin
        if (CurrFieldNo = Rec.FieldNo("Line Discount %")) and (Rec."Line Discount %" <> xRec."Line Discount %") then
            Forget(Rec);
    end;

    local procedure Forget(var SalesLine: Record "Sales Line")
    begin
        Clear(SalesLine."Kampanje Version");
        Clear(SalesLine."Kampanje Price Line Id");
        Clear(SalesLine."Kampanje Discount Line Id");
        Clear(SalesLine."Kampanje Offer");
    end;
}
