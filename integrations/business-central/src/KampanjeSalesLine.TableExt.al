/// The answer that priced the line. Posting copies fields with equal numbers.
tableextension 50100 "Kampanje Sales Line" extends "Sales Line"
{
    fields
    {
        field(50100; "Kampanje Version"; BigInteger)
        {
            Caption = 'Version of the Price Book';
            DataClassification = CustomerContent;
            Editable = false;
        }
        field(50101; "Kampanje Book Id"; Guid)
        {
            Caption = 'Price Book';
            DataClassification = CustomerContent;
            Editable = false;
        }
        field(50102; "Kampanje Price Line Id"; Guid)
        {
            Caption = 'Price Line';
            DataClassification = CustomerContent;
            Editable = false;
        }
        field(50103; "Kampanje Discount Line Id"; Guid)
        {
            Caption = 'Discount Line';
            DataClassification = CustomerContent;
            Editable = false;
        }
        field(50104; "Kampanje Offer"; Text[100])
        {
            Caption = 'Offer';
            DataClassification = CustomerContent;
            Editable = false;
        }
    }
}
