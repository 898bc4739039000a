DROP INDEX publications_published;
DROP INDEX book_entries_lines_of_item;
