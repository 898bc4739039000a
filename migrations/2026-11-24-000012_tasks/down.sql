DROP TABLE opportunities, tasks, activity_steps, activities, team_members, teams;
-- The triggers of the older tables go with their function.
DROP FUNCTION refuse_blocked_salesperson() CASCADE;
ALTER TABLE settings DROP COLUMN next_opportunity_number;
