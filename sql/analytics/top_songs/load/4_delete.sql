DELETE FROM analytics.top_songs
