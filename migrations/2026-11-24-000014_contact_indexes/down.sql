DROP INDEX contacts_salesperson;
DROP INDEX contacts_email;
DROP INDEX contacts_name;
