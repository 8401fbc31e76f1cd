"""One file for each verb offered to users. Use cases return results and print nothing."""
