// Package sim runs two nodes with everything that is pure in package pfsync over a
// simulated network, on a virtual clock. It has tests only.
package sim
