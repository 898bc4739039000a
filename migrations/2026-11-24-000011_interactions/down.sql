DROP VIEW held_targets, logged_targets;
DROP TRIGGER segments_number_logged ON segments;
DROP FUNCTION refuse_logged_number;
DROP TABLE interactions, logged_segments;
ALTER TABLE segments DROP COLUMN interaction_template_code;
DROP TABLE interaction_templates;
