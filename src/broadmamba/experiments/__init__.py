"""The paper's tables and figures: one TOML each, from runs to records, statistics, pages and plots."""
