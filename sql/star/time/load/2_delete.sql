-- The bounds of start_time spare the engine the blocks of other days; the cast alone does not.
DELETE FROM analytics.time
WHERE
    :is_full
    OR (
        start_time >= (SELECT MIN(play_day) FROM pending_days)
        AND start_time < (SELECT MAX(play_day) + 1 FROM pending_days)
        AND CAST(start_time AS DATE) IN (SELECT play_day FROM pending_days)
    )
