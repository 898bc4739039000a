DROP TABLE saved_criteria;
DROP TABLE criteria_removed_lines;
ALTER TABLE segment_lines DROP COLUMN added_by;
DROP TABLE criteria_actions;
DROP FUNCTION uuid_v7();
