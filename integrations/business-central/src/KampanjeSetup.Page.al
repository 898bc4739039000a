page 50100 "Kampanje Setup"
{
    Caption = 'Kampanje Setup';
    PageType = Card;
    SourceTable = "Kampanje Setup";
    UsageCategory = Administration;
    ApplicationArea = All;
    InsertAllowed = false;
    DeleteAllowed = false;

    layout
    {
        area(Content)
        {
            group(Connection)
            {
                Caption = 'Connection';

                field("Base URL"; Rec."Base URL")
                {
                    ApplicationArea = All;
                    ToolTip = 'Specifies the address of the service.';
                }
                field(ApiKeyField; ApiKeyInput)
                {
                    ApplicationArea = All;
                    Caption = 'API Key';
                    ExtendedDatatype = Masked;
                    ToolTip = 'Specifies a key with the role INTEGRATOR. It cannot be read again.';

                    trigger OnValidate()
                    begin
                        Rec.SetApiKey(ApiKeyInput);
                        ApiKeyInput := '';
                    end;
                }
                field(Enabled; Rec.Enabled)
                {
                    ApplicationArea = All;
                    ToolTip = 'Specifies if the service prices sales lines.';
                }
                field("Failure Text"; Rec."Failure Text")
                {
                    ApplicationArea = All;
                    ToolTip = 'Specifies why the latest transfer of posted lines failed.';
                }
            }
        }
    }

    trigger OnOpenPage()
    begin
        if not Rec.Get() then begin
            Rec.Init();
            Rec.Insert();
        end;
    end;

    var
        [NonDebuggable]
        ApiKeyInput: Text;
}
