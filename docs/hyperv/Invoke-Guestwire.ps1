# SPDX-License-Identifier: MIT
<#
.SYNOPSIS
    Calls a method of guestwired in a guest of this Hyper-V host and returns its result.
.EXAMPLE
    .\Invoke-Guestwire.ps1 -VMName debian -Method agent.info
.EXAMPLE
    .\Invoke-Guestwire.ps1 debian backup.start @{ target = 'nightly' }
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true, Position = 0)] [string] $VMName,
    [Parameter(Mandatory = $true, Position = 1)] [string] $Method,
    [Parameter(Position = 2)] [hashtable] $Params,
    [uint32] $Port = 1000,
    [int] $TimeoutSeconds = 30
)
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

if (-not ('Guestwire.HyperVEndPoint' -as [type])) {
    Add-Type -Path (Join-Path $PSScriptRoot 'HyperVEndPoint.cs')
}

$vm = @(Get-VM -Name $VMName)
if ($vm.Count -ne 1) { throw "$($vm.Count) virtual machines are named '$VMName'" }

$request = @{ jsonrpc = '2.0'; id = 1; method = $Method }
if ($null -ne $Params) { $request['params'] = $Params }
$utf8 = New-Object System.Text.UTF8Encoding -ArgumentList $false
$bytes = $utf8.GetBytes((ConvertTo-Json -InputObject $request -Compress -Depth 32) + "`n")

$raw = [Guestwire.HyperVEndPoint]::Raw
$socket = New-Object System.Net.Sockets.Socket -ArgumentList (
    [Guestwire.HyperVEndPoint]::Family), ([System.Net.Sockets.SocketType]::Stream), $raw
try {
    $level = [System.Net.Sockets.SocketOptionLevel][int]$raw
    $socket.SetSocketOption($level, [Guestwire.HyperVEndPoint]::ConnectTimeout, 10000)
    $socket.SetSocketOption($level, [Guestwire.HyperVEndPoint]::ConnectedSuspend, 1)
    $endPoint = New-Object Guestwire.HyperVEndPoint -ArgumentList ([guid]$vm[0].Id), $Port
    $socket.Connect($endPoint)

    $stream = New-Object System.Net.Sockets.NetworkStream -ArgumentList $socket, $true
    $stream.ReadTimeout = $TimeoutSeconds * 1000
    $stream.Write($bytes, 0, $bytes.Length)
    $reader = New-Object System.IO.StreamReader -ArgumentList $stream, $utf8
    do {
        $line = $reader.ReadLine()
        if ($null -eq $line) { throw 'the guest closed the connection' }
        $reply = ConvertFrom-Json -InputObject $line
    } until (@($reply.PSObject.Properties['id']).Count -eq 1 -and $reply.id -in 1, $null)

    if ($reply.PSObject.Properties['error']) {
        throw "the guest said no: $($reply.error.message) (code $($reply.error.code))"
    }
    $reply.result
}
finally {
    $socket.Dispose()
}
