/// The connection of this company to the service. One record.
table 50100 "Kampanje Setup"
{
    Caption = 'Kampanje Setup';
    DataClassification = CustomerContent;

    fields
    {
        field(1; "Primary Key"; Code[10])
        {
            Caption = 'Primary Key';
        }
        field(2; "Base URL"; Text[250])
        {
            Caption = 'Base URL';
            ExtendedDatatype = URL;
        }
        field(3; Enabled; Boolean)
        {
            Caption = 'Enabled';

            trigger OnValidate()
            begin
                if Rec.Enabled then
                    Rec.TestField("Base URL");
            end;
        }
        field(4; "Failure Text"; Text[250])
        {
            Caption = 'Last Failure';
            Editable = false;
        }
    }

    keys
    {
        key(PK; "Primary Key")
        {
            Clustered = true;
        }
    }

    var
        ApiKeyNameTok: Label 'KampanjeApiKey', Locked = true;

    /// Stores the key so that no user can read it.
    procedure SetApiKey(ApiKey: SecretText)
    begin
        IsolatedStorage.Set(ApiKeyNameTok, ApiKey, DataScope::Company);
    end;

    procedure GetApiKey() ApiKey: SecretText
    begin
        if IsolatedStorage.Contains(ApiKeyNameTok, DataScope::Company) then
            IsolatedStorage.Get(ApiKeyNameTok, DataScope::Company, ApiKey);
    end;
}
