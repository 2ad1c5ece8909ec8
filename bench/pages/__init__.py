"""From numbers to what people read: Markdown, the terminal's leaderboard, answers, what is missing."""
