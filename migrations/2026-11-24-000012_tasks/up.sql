-- The work on a campaign: teams, tasks, activities (templates of tasks), opportunities; and the rule that a blocked
-- salesperson is given nothing new.

ALTER TABLE settings ADD COLUMN next_opportunity_number text COLLATE "C" NOT NULL DEFAULT 'OP000001';

CREATE TABLE teams (
    id uuid CONSTRAINT teams_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT teams_code_key UNIQUE,
    name text NOT NULL DEFAULT ''
);

CREATE TABLE team_members (
    team_code text COLLATE "C" NOT NULL
        CONSTRAINT team_members_team_fkey REFERENCES teams (code) ON DELETE CASCADE,
    salesperson_code text COLLATE "C" NOT NULL
        CONSTRAINT team_members_salesperson_fkey REFERENCES salespeople (code),
    CONSTRAINT team_members_pkey PRIMARY KEY (team_code, salesperson_code)
);
CREATE INDEX team_members_salesperson ON team_members (salesperson_code);

CREATE TABLE activities (
    id uuid CONSTRAINT activities_pkey PRIMARY KEY,
    code text COLLATE "C" NOT NULL CONSTRAINT activities_code_key UNIQUE,
    description text NOT NULL DEFAULT ''
);

CREATE TABLE activity_steps (
    activity_code text COLLATE "C" NOT NULL
        CONSTRAINT activity_steps_activity_fkey REFERENCES activities (code) ON DELETE CASCADE,
    position integer NOT NULL,
    type text COLLATE "C",
    description text NOT NULL,
    priority text NOT NULL CONSTRAINT activity_steps_priority CHECK (priority IN ('LOW', 'NORMAL', 'HIGH')),
    offset_days integer NOT NULL,
    CONSTRAINT activity_steps_pkey PRIMARY KEY (activity_code, position)
);

CREATE TABLE tasks (
    id uuid CONSTRAINT tasks_pkey PRIMARY KEY,
    campaign_number text COLLATE "C" NOT NULL CONSTRAINT tasks_campaign_fkey REFERENCES campaigns (number),
    contact_number text COLLATE "C" CONSTRAINT tasks_contact_fkey REFERENCES contacts (number),
    salesperson_code text COLLATE "C" CONSTRAINT tasks_salesperson_fkey REFERENCES salespeople (code),
    team_code text COLLATE "C" CONSTRAINT tasks_team_fkey REFERENCES teams (code),
    type text COLLATE "C",
    description text NOT NULL DEFAULT '',
    date date NOT NULL,
    starting_time time,
    priority text NOT NULL CONSTRAINT tasks_priority CHECK (priority IN ('LOW', 'NORMAL', 'HIGH')),
    state text NOT NULL
        CONSTRAINT tasks_state CHECK (state IN ('NOT_STARTED', 'IN_PROGRESS', 'COMPLETED', 'WAITING', 'POSTPONED')),
    closed_at timestamptz,
    recurrence_interval integer CONSTRAINT tasks_recurrence_interval CHECK (recurrence_interval > 0),
    recurrence_unit text CONSTRAINT tasks_recurrence_unit CHECK (recurrence_unit IN ('DAYS', 'WEEKS', 'MONTHS')),
    recurrence_from text
        CONSTRAINT tasks_recurrence_from CHECK (recurrence_from IN ('DUE_DATE', 'CLOSING_DATE')),
    -- The activity whose step the task was made of.
    activity_code text COLLATE "C" CONSTRAINT tasks_activity_fkey REFERENCES activities (code),
    -- What the closing of a recurring task created; it is created once, however often the task is reopened.
    next_task_id uuid CONSTRAINT tasks_next_fkey REFERENCES tasks (id) ON DELETE SET NULL,
    CONSTRAINT tasks_assignee CHECK (num_nonnulls(salesperson_code, team_code) = 1),
    CONSTRAINT tasks_closed CHECK ((state = 'COMPLETED') = (closed_at IS NOT NULL)),
    CONSTRAINT tasks_recurrence CHECK (num_nonnulls(recurrence_interval, recurrence_unit, recurrence_from) IN (0, 3))
);
CREATE INDEX tasks_date ON tasks (date, id);
CREATE INDEX tasks_campaign ON tasks (campaign_number, date);
CREATE INDEX tasks_contact ON tasks (contact_number) WHERE contact_number IS NOT NULL;
CREATE INDEX tasks_salesperson ON tasks (salesperson_code, date) WHERE salesperson_code IS NOT NULL;
CREATE INDEX tasks_team ON tasks (team_code, date) WHERE team_code IS NOT NULL;
CREATE INDEX tasks_activity ON tasks (activity_code) WHERE activity_code IS NOT NULL;
CREATE INDEX tasks_next ON tasks (next_task_id) WHERE next_task_id IS NOT NULL;

CREATE TABLE opportunities (
    id uuid CONSTRAINT opportunities_pkey PRIMARY KEY,
    number text COLLATE "C" NOT NULL CONSTRAINT opportunities_number_key UNIQUE,
    description text NOT NULL DEFAULT '',
    contact_number text COLLATE "C" NOT NULL CONSTRAINT opportunities_contact_fkey REFERENCES contacts (number),
    campaign_number text COLLATE "C" CONSTRAINT opportunities_campaign_fkey REFERENCES campaigns (number),
    salesperson_code text COLLATE "C" CONSTRAINT opportunities_salesperson_fkey REFERENCES salespeople (code),
    -- In local currency.
    estimated_value numeric(20, 5) NOT NULL
        CONSTRAINT opportunities_estimated_value CHECK (estimated_value >= 0),
    chance_percent numeric(8, 5) NOT NULL
        CONSTRAINT opportunities_chance_percent CHECK (chance_percent BETWEEN 0 AND 100),
    stage text NOT NULL DEFAULT '',
    state text NOT NULL
        CONSTRAINT opportunities_state CHECK (state IN ('NOT_STARTED', 'IN_PROGRESS', 'WON', 'LOST')),
    creation_date date NOT NULL,
    closed_date date,
    CONSTRAINT opportunities_closed CHECK ((state IN ('WON', 'LOST')) = (closed_date IS NOT NULL))
);
CREATE INDEX opportunities_contact ON opportunities (contact_number);
CREATE INDEX opportunities_campaign ON opportunities (campaign_number) WHERE campaign_number IS NOT NULL;
CREATE INDEX opportunities_salesperson ON opportunities (salesperson_code) WHERE salesperson_code IS NOT NULL;

-- A blocked salesperson is given nothing new; what was given before stays. No lock is needed: an assignment that does not
-- see a block made at the same time came before it. The triggers come after the write, as only then is it known whether an
-- upsert inserted or changed a row. Triggers fire in the order of their names, and the A is for coming before the foreign keys'
-- (RI_ConstraintTrigger_…): so a blocked salesperson is told beside the references that are missing, not after them.
CREATE FUNCTION refuse_blocked_salesperson() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM salespeople WHERE code = NEW.salesperson_code AND blocked) THEN
        RAISE EXCEPTION 'salesperson % is blocked', NEW.salesperson_code
            USING ERRCODE = 'check_violation', CONSTRAINT = 'salesperson_blocked', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END
$$;

DO $$
DECLARE
    assigned text;
BEGIN
    FOREACH assigned IN ARRAY ARRAY['contacts', 'campaigns', 'segments', 'tasks', 'opportunities'] LOOP
        EXECUTE format('CREATE TRIGGER %I AFTER INSERT ON %I FOR EACH ROW WHEN (NEW.salesperson_code IS NOT NULL) '
            'EXECUTE FUNCTION refuse_blocked_salesperson()', 'A_' || assigned || '_salesperson_given', assigned);
        EXECUTE format('CREATE TRIGGER %I AFTER UPDATE ON %I FOR EACH ROW '
            'WHEN (NEW.salesperson_code IS NOT NULL AND NEW.salesperson_code IS DISTINCT FROM OLD.salesperson_code) '
            'EXECUTE FUNCTION refuse_blocked_salesperson()', 'A_' || assigned || '_salesperson_changed', assigned);
    END LOOP;
END
$$;
