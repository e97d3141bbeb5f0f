-- Users by the full days from their first event to their first upgrade.
SELECT
    hours_since_first_seen / 24 AS days_to_upgrade,
    COUNT(*) AS users
FROM analytics.level_changes
WHERE change_number = 1 AND to_level = 'paid'
GROUP BY hours_since_first_seen / 24
ORDER BY hours_since_first_seen / 24
