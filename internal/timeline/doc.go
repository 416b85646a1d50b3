// Package timeline draws what happened to a pair of hosts, as an SVG picture: a lane
// for each host on each side, coloured by its state; the probes of a client, and which
// were lost; and what somebody did.
package timeline
