"""Rotated files: is a found file a known one, and may one be deleted?

    found file ─────► rotated_file_matching ─► the generation that it is: renamed, copied, or new
    dormant files ──► dormant_search ───────► found, or missed ─► missed_files: is it gone?
                      rotated_file_deletion    every sink has all of it: delete it

`follower` calls them. Read `rotated_file_matching` first: identity is decided by inode and by content.
"""
