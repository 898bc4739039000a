-- What the book said of one item, and when: else each such question reads all lines there ever were, or all publications.

-- Lines of an item; those for a group or for all items name none.
CREATE INDEX book_entries_lines_of_item ON book_entries ((facts ->> 'itemNumber'))
    WHERE kind IN ('PRICE_LINE', 'DISCOUNT_LINE');
-- Which version was in force at an instant.
CREATE INDEX publications_published ON publications (published_at, version);
