// SPDX-License-Identifier: MIT
using System;
using System.Net;
using System.Net.Sockets;

namespace Guestwire
{
    /// <summary>
    /// Where a Hyper-V socket leads: a virtual machine and a service in it. Windows' SOCKADDR_HV,
    /// 36 bytes: the family (u16, 34), a reserved u16, the VM's GUID and the service's. C# 5, so
    /// that Windows PowerShell's Add-Type takes it.
    /// </summary>
    public sealed class HyperVEndPoint : EndPoint
    {
        /// <summary>AF_HYPERV, which no version of .NET has a name for.</summary>
        public const AddressFamily Family = (AddressFamily)34;
        /// <summary>HV_PROTOCOL_RAW: the protocol of such sockets, and the level of their options.</summary>
        public const ProtocolType Raw = (ProtocolType)1;

        /// <summary>HVSOCKET_CONNECT_TIMEOUT: milliseconds, 300000 at most.</summary>
        public const SocketOptionName ConnectTimeout = (SocketOptionName)0x01;
        /// <summary>HVSOCKET_CONTAINER_PASSTHRU: reach into the containers of the VM.</summary>
        public const SocketOptionName ContainerPassthru = (SocketOptionName)0x02;
        /// <summary>HVSOCKET_CONNECTED_SUSPEND: not 0, to stay connected while the VM is paused.</summary>
        public const SocketOptionName ConnectedSuspend = (SocketOptionName)0x04;

        /// <summary>HV_GUID_ZERO, HV_GUID_WILDCARD: to listen for every partition.</summary>
        public static readonly Guid Wildcard = Guid.Empty;
        /// <summary>HV_GUID_BROADCAST.</summary>
        public static readonly Guid Broadcast = new Guid("ffffffff-ffff-ffff-ffff-ffffffffffff");
        /// <summary>HV_GUID_CHILDREN: to listen for the guests of this host.</summary>
        public static readonly Guid Children = new Guid("90db8b89-0d35-4f79-8ce9-49ea0ac8b7cd");
        /// <summary>HV_GUID_LOOPBACK: this partition itself.</summary>
        public static readonly Guid Loopback = new Guid("e0e16197-dd56-4a10-9195-5ee7a155a838");
        /// <summary>HV_GUID_PARENT: the host of this guest.</summary>
        public static readonly Guid Parent = new Guid("a42e7cda-d03f-480c-9cc2-a4de20abb878");

        private const int Size = 36;
        private const int VmIdOffset = 4;
        private const int ServiceIdOffset = 20;
        private const int GuidSize = 16;

        private readonly Guid vmId;
        private readonly Guid serviceId;

        public HyperVEndPoint(Guid vmId, Guid serviceId)
        {
            this.vmId = vmId;
            this.serviceId = serviceId;
        }

        /// <summary>A vsock port of a Linux guest.</summary>
        public HyperVEndPoint(Guid vmId, uint port) : this(vmId, ServiceOf(port))
        {
        }

        public Guid VmId { get { return vmId; } }
        public Guid ServiceId { get { return serviceId; } }
        public override AddressFamily AddressFamily { get { return Family; } }

        /// <summary>
        /// The service that a vsock port is to Hyper-V: 00000000-facb-11e6-bd58-64006a7986d3 with
        /// the port as its first field.
        /// </summary>
        public static Guid ServiceOf(uint port)
        {
            return new Guid(port, 0xfacb, 0x11e6, 0xbd, 0x58, 0x64, 0x00, 0x6a, 0x79, 0x86, 0xd3);
        }

        public override SocketAddress Serialize()
        {
            // It begins with the family; the two bytes that follow stay 0.
            SocketAddress address = new SocketAddress(Family, Size);
            Write(address, VmIdOffset, vmId);
            Write(address, ServiceIdOffset, serviceId);
            return address;
        }

        public override EndPoint Create(SocketAddress address)
        {
            if (address == null)
                throw new ArgumentNullException("address");
            if (address.Family != Family || address.Size < Size)
                throw new ArgumentException("not a SOCKADDR_HV", "address");
            return new HyperVEndPoint(Read(address, VmIdOffset), Read(address, ServiceIdOffset));
        }

        // In memory a GUID's first three fields are in the machine's byte order, as ToByteArray()
        // has them.
        private static void Write(SocketAddress address, int offset, Guid guid)
        {
            byte[] bytes = guid.ToByteArray();
            for (int i = 0; i < GuidSize; i++)
                address[offset + i] = bytes[i];
        }

        private static Guid Read(SocketAddress address, int offset)
        {
            byte[] bytes = new byte[GuidSize];
            for (int i = 0; i < GuidSize; i++)
                bytes[i] = address[offset + i];
            return new Guid(bytes);
        }

        public override bool Equals(object other)
        {
            HyperVEndPoint that = other as HyperVEndPoint;
            return that != null && that.vmId == vmId && that.serviceId == serviceId;
        }

        public override int GetHashCode()
        {
            return vmId.GetHashCode() ^ serviceId.GetHashCode();
        }

        public override string ToString()
        {
            return vmId + ":" + serviceId;
        }
    }
}
