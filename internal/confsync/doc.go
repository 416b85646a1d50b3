// Package confsync carries the configuration of one firewall of a pair over to the
// other, as "synchronize and reconfigure all" of OPNsense does: the master's files
// become the backup's, but for what has to differ between the two.
//
// The configuration is a [Tree] of files, in sections. [Merge] makes the tree that the
// receiver is to have of the sender's and its own: [Rules] say which files and which
// words in them a node keeps, and why. It works on the words of hostname.if(5) and on
// the keys of the other files, so that comments and layout are the sender's. [Diff] says
// what would be different. All this is arithmetic on values.
//
// [Apply] then puts the files in place. It is a transaction: whatever happens, if the
// disk is full, if the machine loses its power, all files are the new ones or all are
// the old ones, after [Recover] at the next start. [Previous] is what was there before.
//
// # Transactions
//
// New and old contents are first stored beside each file, under names that nobody reads,
// and forced to the disk. Then a journal is put in place; from here to its removal, a
// crash means that Recover brings the old contents back, by renaming only, which needs
// no room on the disk. The removal of the journal is the moment from which on the new
// files count.
package confsync
