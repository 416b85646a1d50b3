// Package nettest is what the live tests of carpnet and pfsyncnet have in common:
// two nodes on a segment, transports in their namespaces, and the patience that the
// kernel of a busy machine asks for.
package nettest
