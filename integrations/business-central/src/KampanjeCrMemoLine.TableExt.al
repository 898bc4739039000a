tableextension 50102 "Kampanje Cr.Memo Line" extends "Sales Cr.Memo Line"
{
    fields
    {
        field(50100; "Kampanje Version"; BigInteger)
        {
            Caption = 'Version of the Price Book';
            DataClassification = CustomerContent;
        }
        field(50101; "Kampanje Book Id"; Guid)
        {
            Caption = 'Price Book';
            DataClassification = CustomerContent;
        }
        field(50102; "Kampanje Price Line Id"; Guid)
        {
            Caption = 'Price Line';
            DataClassification = CustomerContent;
        }
        field(50103; "Kampanje Discount Line Id"; Guid)
        {
            Caption = 'Discount Line';
            DataClassification = CustomerContent;
        }
        field(50104; "Kampanje Offer"; Text[100])
        {
            Caption = 'Offer';
            DataClassification = CustomerContent;
        }
    }
}
