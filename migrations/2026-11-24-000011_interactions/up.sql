-- What was done: interactions with contacts, and segments that were logged.

CREATE TABLE interaction_templates (
    id uuid CONSTRAINT interaction_templates_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT interaction_templates_code_key UNIQUE,
    description text NOT NULL DEFAULT '',
    cost numeric(20, 5) NOT NULL DEFAULT 0 CONSTRAINT interaction_templates_cost CHECK (cost >= 0),
    duration_minutes integer NOT NULL DEFAULT 0
        CONSTRAINT interaction_templates_duration CHECK (duration_minutes BETWEEN 0 AND 1000000)
);

ALTER TABLE segments ADD COLUMN interaction_template_code text COLLATE "C"
    CONSTRAINT segments_interaction_template_fkey REFERENCES interaction_templates (code);

-- A logged segment with a campaign is the campaign's entry: one row, so that the two cannot differ.
CREATE TABLE logged_segments (
    id uuid CONSTRAINT logged_segments_pkey PRIMARY KEY,
    number text COLLATE "C" NOT NULL CONSTRAINT logged_segments_number_key UNIQUE,
    description text NOT NULL,
    campaign_number text COLLATE "C" CONSTRAINT logged_segments_campaign_fkey REFERENCES campaigns (number),
    campaign_target boolean NOT NULL,
    campaign_response boolean NOT NULL,
    salesperson_code text COLLATE "C" CONSTRAINT logged_segments_salesperson_fkey REFERENCES salespeople (code),
    subject text NOT NULL,
    interaction_template_code text COLLATE "C" NOT NULL
        CONSTRAINT logged_segments_interaction_template_fkey REFERENCES interaction_templates (code),
    date date NOT NULL,
    send_attachments boolean NOT NULL,
    canceled boolean NOT NULL DEFAULT false
);
CREATE INDEX logged_segments_campaign ON logged_segments (campaign_number, date);

-- The number of a logged segment names it for good. AFTER, so that it sees what was committed while the insert waited for the
-- row of the segment that is being logged.
CREATE FUNCTION refuse_logged_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM logged_segments WHERE number = NEW.number) THEN
        RAISE EXCEPTION 'segment % was logged', NEW.number
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'segments_number_logged', TABLE = 'segments';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER segments_number_logged AFTER INSERT ON segments FOR EACH ROW EXECUTE FUNCTION refuse_logged_number();

CREATE TABLE interactions (
    id uuid CONSTRAINT interactions_pkey PRIMARY KEY,
    date date NOT NULL,
    -- Null once the contact was deleted.
    contact_number text COLLATE "C" CONSTRAINT interactions_contact_fkey REFERENCES contacts (number),
    campaign_number text COLLATE "C" CONSTRAINT interactions_campaign_fkey REFERENCES campaigns (number),
    segment_number text COLLATE "C"
        CONSTRAINT interactions_segment_fkey REFERENCES logged_segments (number) ON DELETE CASCADE,
    interaction_template_code text COLLATE "C"
        CONSTRAINT interactions_interaction_template_fkey REFERENCES interaction_templates (code),
    salesperson_code text COLLATE "C" CONSTRAINT interactions_salesperson_fkey REFERENCES salespeople (code),
    campaign_target boolean NOT NULL,
    campaign_response boolean NOT NULL,
    cost numeric(20, 5) NOT NULL CONSTRAINT interactions_cost CHECK (cost >= 0),
    duration_minutes integer NOT NULL CONSTRAINT interactions_duration CHECK (duration_minutes BETWEEN 0 AND 1000000),
    description text NOT NULL,
    evaluation text CONSTRAINT interactions_evaluation
        CHECK (evaluation IN ('VERY_POSITIVE', 'POSITIVE', 'NEUTRAL', 'NEGATIVE', 'VERY_NEGATIVE')),
    canceled boolean NOT NULL DEFAULT false,
    -- Whether it was canceled by the cancellation of its segment, and comes back with it.
    canceled_with_segment boolean NOT NULL DEFAULT false,
    CONSTRAINT interactions_flags CHECK (campaign_number IS NOT NULL OR NOT (campaign_target OR campaign_response)),
    CONSTRAINT interactions_canceled CHECK (canceled OR NOT canceled_with_segment)
);
CREATE INDEX interactions_date ON interactions (date, id);
CREATE INDEX interactions_contact ON interactions (contact_number) WHERE contact_number IS NOT NULL;
CREATE INDEX interactions_campaign ON interactions (campaign_number, date) WHERE campaign_number IS NOT NULL;
CREATE INDEX interactions_segment ON interactions (segment_number) INCLUDE (canceled, cost, duration_minutes)
    WHERE segment_number IS NOT NULL;

-- The interactions by which contacts are in the audience of a campaign.
CREATE VIEW logged_targets AS
    SELECT id, campaign_number, contact_number FROM interactions
    WHERE segment_number IS NOT NULL AND campaign_target AND NOT canceled AND contact_number IS NOT NULL;
CREATE INDEX interactions_targets ON interactions (campaign_number, contact_number)
    WHERE segment_number IS NOT NULL AND campaign_target AND NOT canceled AND contact_number IS NOT NULL;

-- Those of them that hold their contact: while the campaign is active, unless the contact objects and so is in no audience.
CREATE VIEW held_targets AS
    SELECT logged_targets.id, contact_number FROM logged_targets
    JOIN campaigns ON campaigns.number = campaign_number AND publication_version IS NOT NULL
    JOIN contacts ON contacts.number = contact_number AND NOT privacy_blocked;
