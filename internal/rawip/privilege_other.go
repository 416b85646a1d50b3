//go:build !linux

package rawip

const privilege = "root"
