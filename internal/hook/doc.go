// Package hook runs scripts when virtual hosts change their state: what OPNsense
// has in rc.syshook.d/carp.
//
// The scripts of a directory are called in the order of their names, "NN-name",
// each with two arguments:
//
//	10-wan 1@em0 MASTER
//
// and with CARP_VHID, CARP_IF, CARP_STATE, CARP_PREV, CARP_REASON and CARP_SEQ in
// the environment. The state is INIT, BACKUP or MASTER. A script should ignore
// what it does not know, and make things so as they have to be in that state,
// rather than change them: it may hear of a state twice.
//
// The scripts of one virtual host run one at a time, so that the last one to run is
// the one for the state that is. Those of another one do not wait for them. While
// they run, changes are collected, and only the newest state is told; CARP_PREV is
// then the state that was told before. Scripts that have not begun when a newer
// change comes are not called for the older one.
//
// A script that takes too long is killed with all that it started, and counts as
// failed. Scripts that everybody may write to are not called.
package hook
