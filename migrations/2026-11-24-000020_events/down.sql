DROP TABLE events, event_counter;
