"""The node process: receive, index, judge completeness, ask for readings, deliver."""
