-- What a million contacts are listed and looked up by. Without them each such request reads the whole table, some 100 ms.

-- The order of a telephone book, page by page.
CREATE INDEX contacts_name ON contacts (name, number);
-- Who wrote this message.
CREATE INDEX contacts_email ON contacts (email);
-- A salesperson's contacts; and whether a salesperson who is deleted has any.
CREATE INDEX contacts_salesperson ON contacts (salesperson_code, number) WHERE salesperson_code IS NOT NULL;
