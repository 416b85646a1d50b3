// Package ifconfig is the grammar of OpenBSD's configuration of carp(4) and
// pfsync(4): hostname.if(5) files, ifconfig(8) command lines and sysctl(8)
// names, read into values, and the text that ifconfig prints. It takes strings
// and returns values; reading the files and acting on the values is up to the
// program.
//
//	hostname.carp1   ParseHostname ---\
//	                                   +--> []Change --> Config.With --> Config
//	ifconfig carp1   ParseCommand ----/                                  |
//	                                            Validate, Diff <---------/
//
// A [Change] is one thing a word asks for, with its position. A [Config] is what
// all changes together ask for. Reloading files and running a command are the
// same thing: make a new Config, validate it, and act on the difference.
//
// # Files
//
// Each line of a hostname.if(5) file is a command of its own, with the words of
// ifconfig or in the packed form, "inet [alias] ADDR [MASK [BROADCAST]]" and
// "inet6 [alias] ADDR [PREFIXLEN]", followed by more words. BROADCAST may be
// NONE. "!command" and "dest ADDR" are reported and not interpreted.
//
// Words are split and quoted as in a shell: blanks separate them, '...' takes
// everything as it is, "..." takes blanks and '#', a backslash takes the next
// character, a backslash at the end of a line joins the next one, and a word
// that starts with '#' starts a comment. netstart(8) differs in corners where
// its result is of no use: it shrinks the blanks in quotes and takes backslashes
// away twice. What a shell would replace or run is an error unless it is in
// single quotes, lest a passphrase differ from that of the neighbour who runs
// the same file through netstart. As there, a comment whose line ends in a
// backslash goes on in the next line.
//
// # Words
//
// The words are those of ifconfig(8) with its ranges (setcarp_vhid and its
// neighbours), and FreeBSD's version, and peer and mcast for carppeer and
// -carppeer. There are also -pass and -carpdev, which ifconfig lacks, and passfile,
// which names a file with the passphrase so that others may read this one.
//
// As there, an IPv4 address takes the place of the first one unless it comes
// with alias, and an IPv6 address is always one more. An address without mask
// has that of its class, or a prefix length of 64. Unlike there, an interface
// that was taken down is not taken up by an address: only "up" does that.
package ifconfig
