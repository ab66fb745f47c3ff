"""Ways in for corrections: folders to drop mail into, and what people move into and out of Junk in their Maildirs."""

from spamfilter.frontends.learn.folders import LearnFolders
from spamfilter.frontends.learn.maildir_watch import MaildirWatch
from spamfilter.frontends.learn.settings import Learn

__all__ = ["Learn", "LearnFolders", "MaildirWatch"]
