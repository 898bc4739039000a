DROP TABLE golden_quotes;
