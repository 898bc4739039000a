/// Circuit breaker of the session: after a failure no request waits for a while.
codeunit 50101 "Kampanje Breaker"
{
    SingleInstance = true;

    var
        ClosedUntil: DateTime;

    procedure Allows(): Boolean
    begin
        exit((ClosedUntil = 0DT) or (CurrentDateTime() >= ClosedUntil));
    end;

    procedure Failed()
    begin
        ClosedUntil := CurrentDateTime() + IntervalMilliseconds();
    end;

    procedure Succeeded()
    begin
        ClosedUntil := 0DT;
    end;

    local procedure IntervalMilliseconds(): Integer
    begin
        exit(15000);
    end;
}
