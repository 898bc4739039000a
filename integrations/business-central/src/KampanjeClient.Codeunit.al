/// Sends requests to the service. Amounts are strings in the XML format (9).
codeunit 50102 "Kampanje Client"
{
    Access = Internal;

    var
        Breaker: Codeunit "Kampanje Breaker";
        RefusedErr: Label 'The campaign service refused the request: %1', Comment = '%1 = reason';
        UnavailableErr: Label 'The campaign service does not answer.';

    /// Asks for prices. Returns false without an error if there is no answer.
    procedure TryQuote(Body: JsonObject; var Answer: JsonObject): Boolean
    var
        Problem: Text;
    begin
        exit(Send('POST', '/v1/price-quotes', Body, QuoteTimeout(), Answer, Problem));
    end;

    /// Sends a request that a person waits for, and raises an error if it fails.
    procedure Post(Path: Text; Body: JsonObject) Answer: JsonObject
    var
        Problem: Text;
    begin
        if Send('POST', Path, Body, BatchTimeout(), Answer, Problem) then
            exit(Answer);
        if Problem = '' then
            Error(UnavailableErr);
        Error(RefusedErr, Problem);
    end;

    /// Sends a request for a background task. Problem is empty if nobody answered.
    procedure TryPost(Path: Text; Body: JsonObject; var Answer: JsonObject; var Problem: Text): Boolean
    begin
        exit(Send('POST', Path, Body, BatchTimeout(), Answer, Problem));
    end;

    local procedure Send(Method: Text; Path: Text; Body: JsonObject; Timeout: Duration; var Answer: JsonObject; var Problem: Text): Boolean
    var
        Setup: Record "Kampanje Setup";
        Client: HttpClient;
        Request: HttpRequestMessage;
        Response: HttpResponseMessage;
        Content: HttpContent;
        ContentHeaders: HttpHeaders;
        RequestHeaders: HttpHeaders;
        BodyText: Text;
        AnswerText: Text;
    begin
        Clear(Answer);
        Problem := '';
        if not (Setup.Get() and Setup.Enabled and Breaker.Allows()) then
            exit(false);
        Body.WriteTo(BodyText);
        Content.WriteFrom(BodyText);
        Content.GetHeaders(ContentHeaders);
        // WriteFrom has set text/plain.
        if ContentHeaders.Contains('Content-Type') then
            ContentHeaders.Remove('Content-Type');
        ContentHeaders.Add('Content-Type', 'application/json');
        Request.Method(Method);
        Request.SetRequestUri(DelChr(Setup."Base URL", '>', '/') + Path);
        Request.Content(Content);
        Request.GetHeaders(RequestHeaders);
        RequestHeaders.Add('Authorization', SecretStrSubstNo('Bearer %1', Setup.GetApiKey()));
        RequestHeaders.Add('Accept', 'application/json');
        Client.Timeout(Timeout);
        if not Client.Send(Request, Response) then begin
            Breaker.Failed();
            exit(false);
        end;
        if (Response.HttpStatusCode() >= 500) or (Response.HttpStatusCode() = 429) then begin
            Breaker.Failed();
            exit(false);
        end;
        Breaker.Succeeded();
        if not Response.Content().ReadAs(AnswerText) then
            exit(false);
        if not Answer.ReadFrom(AnswerText) then
            Clear(Answer);
        if Response.IsSuccessStatusCode() then
            exit(true);
        Problem := ProblemText(Answer, Response.HttpStatusCode());
        exit(false);
    end;

    local procedure ProblemText(Answer: JsonObject; Status: Integer): Text
    var
        Token: JsonToken;
    begin
        if Answer.Get('detail', Token) then
            exit(Token.AsValue().AsText());
        exit(Format(Status));
    end;

    procedure ToText(Value: Decimal): Text
    begin
        exit(Format(Value, 0, 9));
    end;

    procedure ToDecimal(Token: JsonToken) Value: Decimal
    begin
        Evaluate(Value, Token.AsValue().AsText(), 9);
    end;

    local procedure QuoteTimeout(): Duration
    begin
        exit(500);
    end;

    local procedure BatchTimeout(): Duration
    begin
        exit(10000);
    end;
}
