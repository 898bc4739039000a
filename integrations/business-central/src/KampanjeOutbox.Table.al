/// Posted documents that the service has not received. Written by the posting itself.
table 50101 "Kampanje Outbox"
{
    Caption = 'Kampanje Outbox';
    DataClassification = CustomerContent;

    fields
    {
        field(1; "Entry No."; BigInteger)
        {
            AutoIncrement = true;
            Caption = 'Entry No.';
        }
        field(2; "Credit Memo"; Boolean)
        {
            Caption = 'Credit Memo';
        }
        field(3; "Document No."; Code[20])
        {
            Caption = 'Document No.';
        }
        field(4; "Error Text"; Text[250])
        {
            Caption = 'Error';
        }
    }

    keys
    {
        key(PK; "Entry No.")
        {
            Clustered = true;
        }
    }
}
