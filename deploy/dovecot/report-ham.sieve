# Somebody moved this message out of Junk.
require ["vnd.dovecot.pipe", "copy", "environment", "imapsieve", "variables"];

# What goes to Trash, Drafts or Sent, or elsewhere in Junk, says nothing.
if environment :matches "imap.mailbox" [
    "Junk", "Junk?*", "Trash", "Trash?*", "Drafts", "Drafts?*", "Sent", "Sent?*",
    "Deleted Items", "Deleted Messages", "Sent Items", "Sent Messages"] {
  stop;
}
if environment :matches "imap.user" "*" {
  set "user" "${1}";
}
pipe :copy "spamfilter-learn" ["ham", "${user}"];
