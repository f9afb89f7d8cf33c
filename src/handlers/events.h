/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * MESSAGE_ID of the records worth finding (`journalctl MESSAGE_ID=…`); guestwired(8) lists
 * them. Made by sd-id128, never to be changed.
 */
#define EVENT_STARTED "2bf544c4beb548d2938958023ab2f829"
#define EVENT_STOPPED "c3fdfc18722d4722b0c4b1b4b7463560"
#define EVENT_RELOADED "d16ff1c423ee4f96a32835655aec8906"
#define EVENT_RELOAD_FAILED "1cae9f7cd44745118ad2bfa5d7583046"
#define EVENT_LISTENING "043c4da59bca422e9cfa2e0df5f797de"
#define EVENT_LISTEN_FAILED "a4da99fb4bdb4912be2f38d7025061db"
#define EVENT_REFUSED "19cd145e927647228f025d18a79bac60"
#define EVENT_FULL "e49f714c110a4259a511a34779d4ca4d"
#define EVENT_PRIVILEGED_CALL "53870f4435e54af2bddf4750af061a16"
#define EVENT_AUTHENTICATED "3825e55da8ad4a2b99b17fe773af927c"
#define EVENT_FORWARD_FAILED "94ca13f20e234852bebcdc04ac26b987"
#define EVENT_PROGRAM "1535b23bf721411e83d3a29330ab71ab"
