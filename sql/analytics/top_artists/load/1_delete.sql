DELETE FROM analytics.top_artists
