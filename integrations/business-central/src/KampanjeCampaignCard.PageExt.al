/// Activates the campaign in the service. Business Central's own actions remain.
pageextension 50100 "Kampanje Campaign Card" extends "Campaign Card"
{
    actions
    {
        addlast(Functions)
        {
            action(KampanjeCheck)
            {
                ApplicationArea = RelationshipMgmt;
                Caption = 'Check Campaign Prices';
                Image = TestReport;
                ToolTip = 'Shows what an activation would change, and changes nothing.';

                trigger OnAction()
                begin
                    Activate(true);
                end;
            }
            action(KampanjeActivate)
            {
                ApplicationArea = RelationshipMgmt;
                Caption = 'Activate Campaign Prices';
                Image = Start;
                ToolTip = 'Publishes the prices of the campaign.';

                trigger OnAction()
                begin
                    if Confirm(ActivateQst, false, Rec."No.") then
                        Activate(false);
                end;
            }
            action(KampanjeDeactivate)
            {
                ApplicationArea = RelationshipMgmt;
                Caption = 'Deactivate Campaign Prices';
                Image = Stop;
                ToolTip = 'Withdraws the prices of the campaign.';

                trigger OnAction()
                var
                    Client: Codeunit "Kampanje Client";
                    Body: JsonObject;
                begin
                    if not Confirm(DeactivateQst, false, Rec."No.") then
                        exit;
                    Client.Post(Path('deactivations'), Body);
                    Message(DeactivatedMsg, Rec."No.");
                end;
            }
        }
    }

    var
        ActivateQst: Label 'Publish the prices of campaign %1?', Comment = '%1 = campaign';
        ActivatedMsg: Label 'Campaign %1 is published with version %2.', Comment = '%1 = campaign, %2 = version';
        CheckedMsg: Label 'Campaign %1 would be published.\%2', Comment = '%1 = campaign, %2 = findings';
        DeactivateQst: Label 'Withdraw the prices of campaign %1?', Comment = '%1 = campaign';
        DeactivatedMsg: Label 'The prices of campaign %1 are withdrawn.', Comment = '%1 = campaign';

    local procedure Activate(ValidateOnly: Boolean)
    var
        Client: Codeunit "Kampanje Client";
        Body: JsonObject;
        Answer: JsonObject;
        Token: JsonToken;
    begin
        Body.Add('validateOnly', ValidateOnly);
        Answer := Client.Post(Path('activations'), Body);
        if ValidateOnly then
            Message(CheckedMsg, Rec."No.", Findings(Answer))
        else
            if Answer.Get('version', Token) then
                Message(ActivatedMsg, Rec."No.", Token.AsValue().AsText());
    end;

    local procedure Path(Name: Text): Text
    var
        TypeHelper: Codeunit "Type Helper";
        Number: Text;
    begin
        Number := Rec."No.";
        exit('/v1/campaigns/' + TypeHelper.UrlEncode(Number) + '/' + Name);
    end;

    local procedure Findings(Answer: JsonObject) Result: Text
    var
        List: JsonToken;
        Finding: JsonToken;
        Detail: JsonToken;
        TextBuilder: TextBuilder;
    begin
        if Answer.Get('findings', List) then
            foreach Finding in List.AsArray() do
                if Finding.AsObject().Get('detail', Detail) then
                    TextBuilder.AppendLine(Detail.AsValue().AsText());
        exit(TextBuilder.ToText());
    end;
}
