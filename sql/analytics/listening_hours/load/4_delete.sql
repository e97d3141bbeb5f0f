DELETE FROM analytics.listening_hours
