# Somebody moved this message into Junk.
require ["vnd.dovecot.pipe", "copy", "environment", "imapsieve", "vnd.dovecot.imapsieve", "variables"];

# What comes out of Trash, Drafts or Sent, or from elsewhere in Junk, says nothing.
if environment :matches "vnd.dovecot.mailbox-from" [
    "Junk", "Junk?*", "Trash", "Trash?*", "Drafts", "Drafts?*", "Sent", "Sent?*",
    "Deleted Items", "Deleted Messages", "Sent Items", "Sent Messages"] {
  stop;
}
if environment :matches "imap.user" "*" {
  set "user" "${1}";
}
pipe :copy "spamfilter-learn" ["spam", "${user}"];
