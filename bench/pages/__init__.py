"""Pages of results as Markdown, and the leaderboard on the terminal."""
