DROP VIEW campaign_history;
DROP INDEX publications_published_at;
DROP TABLE sales_attributions, sales;
